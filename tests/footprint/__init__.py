"""What a stored event costs on disk: `make footprint` imports events and looks at the sizes of tables and indexes."""
