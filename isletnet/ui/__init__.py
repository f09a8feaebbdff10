"""The pages: what clinicians see in a browser. They know the service by its client alone.

State is kept apart from widgets: `session` says who looks and in which language, `friendly` turns errors into
sentences, `i18n` translates, `bits` holds the small widgets that all pages share. Each page is one room.
"""
