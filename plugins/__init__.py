"""The plugins that ship with Outrigger, one folder each."""
