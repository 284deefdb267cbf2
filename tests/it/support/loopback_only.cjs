// Loaded into Node before the receivers under test: no name but localhost is looked up, so nothing asks the outside.
// (`next dev` would ask the package registry for its newest version.)
const dns = require("node:dns");
const lookup = dns.lookup;
dns.lookup = (name, ...rest) => {
  if (["localhost", "127.0.0.1", "::1"].includes(name)) return lookup(name, ...rest);
  const error = Object.assign(new Error(`${name} is outside`), { code: "ENOTFOUND", hostname: name });
  process.nextTick(rest.at(-1), error);
};
