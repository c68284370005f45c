// Programs that `python-packages` installs, and the reason to skip a test where one is missing.

import { existsSync } from 'node:fs';

/** Returns false where the file of a program exists, or has to: a test then runs and fails. */
export const installed = (name, path) => (existsSync(path) || process.env.CLAIMGATE_REQUIRE_PYTHON_PACKAGES ? false : `${name} is not installed`);
