"""The command line: `outrigger <group> <command>`, every command with `--json` and exit codes 0, 1 and 2."""
