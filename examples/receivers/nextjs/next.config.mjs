import { fileURLToPath } from "node:url";

// Next.js would otherwise use the directory of a lock file further up as the root.
const root = fileURLToPath(new URL(".", import.meta.url));

export default { turbopack: { root }, outputFileTracingRoot: root };
