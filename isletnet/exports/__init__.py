"""Files for other programs: label pictures, tables, outlines, workbook and report."""
