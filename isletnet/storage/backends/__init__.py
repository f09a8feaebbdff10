"""The places that keep a store's promises."""
