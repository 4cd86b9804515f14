"""How each open data set becomes canonical records: one module a set, every mapping said where it is made."""
