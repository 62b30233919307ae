package checks

// Ready are the checks of /readyz, in the order in which it lists them.
var Ready []Check
