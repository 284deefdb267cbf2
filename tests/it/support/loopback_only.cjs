// Loaded into Node before the example receivers. It allows DNS lookups of localhost only, so that
// nothing connects to the internet. (`next dev` would ask the package registry for its latest
// version.)
const dns = require("node:dns");
const lookup = dns.lookup;
dns.lookup = (name, ...rest) => {
  if (["localhost", "127.0.0.1", "::1"].includes(name)) return lookup(name, ...rest);
  const error = Object.assign(new Error(`${name} isn't localhost`), { code: "ENOTFOUND", hostname: name });
  process.nextTick(rest.at(-1), error);
};
