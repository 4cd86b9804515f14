"""The plugin host: hook specifications, discovery, manifests, units, configuration versions and quarantine."""
