"""The five families by which senders prove who they are; each verifier is one family with parameters."""
