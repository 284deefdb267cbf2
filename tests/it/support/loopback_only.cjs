// Node loads this file before an example receiver. All DNS lookups fail, except lookups of
// localhost, so that nothing connects to the internet. (`next dev` would look up its latest version
// in the package registry.)
const dns = require("node:dns");
const lookup = dns.lookup;
dns.lookup = (name, ...rest) => {
  if (["localhost", "127.0.0.1", "::1"].includes(name)) return lookup(name, ...rest);
  const error = Object.assign(new Error(`${name} isn't localhost`), { code: "ENOTFOUND", hostname: name });
  process.nextTick(rest.at(-1), error);
};
