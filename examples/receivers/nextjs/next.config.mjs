import { fileURLToPath } from "node:url";

// This directory alone is the app; a lock file above it belongs to something else.
const root = fileURLToPath(new URL(".", import.meta.url));

export default { turbopack: { root }, outputFileTracingRoot: root };
