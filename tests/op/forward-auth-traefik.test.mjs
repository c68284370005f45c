// Traefik before an application: forwardAuth, configured as docs/guide/forward-auth.md prints it. `python-packages`
// installs Traefik; without it these tests are skipped.

import { testProxy } from './behind-proxy.mjs';
import { traefik } from './proxies.mjs';

testProxy(traefik);
