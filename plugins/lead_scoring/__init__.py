"""Lead scoring (线索评分): grades leads A to F, says why, and gives each one an owner."""
