"""What IT installs from deploy/: that it says what is true, keeps its hardening, and works where its programs run."""
