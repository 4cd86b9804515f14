"""Routes quotes for approval (报价审批): complete first, then by rule or by the people a decision table names."""
