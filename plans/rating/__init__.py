"""Turn metered quantities into money: pure functions over frozen values, standard library only."""
