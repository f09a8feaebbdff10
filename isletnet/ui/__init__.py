"""The pages: what clinicians see in a browser. They know the service by its client alone.

A page is one file here and stays thin; what it shows is in a room beside it: `request` (the form, the way, the
results), `editing` (labels by hand), `space` (three dimensions) and `earlier` (what was done before). State is kept
apart from widgets: `session` says who looks and in which language, `friendly` turns errors into sentences, `i18n`
translates, `bits` holds the small widgets that all pages share.
"""
