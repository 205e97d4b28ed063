import fc from "fast-check";

// Loaded by mocha before the tests: a property that fails says with what, not only for which values.
fc.configureGlobal({ includeErrorInReport: true });
