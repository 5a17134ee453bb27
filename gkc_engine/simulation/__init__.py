"""Users of the production core on a virtual clock or on the ledger."""
