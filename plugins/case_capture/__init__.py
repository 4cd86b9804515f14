"""Case capture: drafts from solved complaints and decided deals, a searchable library, suggestions."""
