#!/usr/bin/env node
// A committed launcher, so that npm can link the command before the first build.
import "../dist/main.js";
