"""Stands before a package that builds a grammar for seconds whenever `jsonschema` is imported, as all of Ray does.

jsonschema goes without it: then the formats `iri` and `iri-reference` are not checked. Nobody here asks for them.
"""

raise ImportError("the processes of the platform do without it")
