import { fileURLToPath } from "node:url";

// Without this setting, Next.js would use a parent directory that contains a lock file as the root.
const root = fileURLToPath(new URL(".", import.meta.url));

export default { turbopack: { root }, outputFileTracingRoot: root };
