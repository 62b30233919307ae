package checks

// Preflight are the checks of `dirtbike check`, in the order in which it lists them.
var Preflight []Check
