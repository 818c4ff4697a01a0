#!/usr/bin/env bash
# haraka-plugin-spf (npm): %{d2} of email.example.com is email.example, and an SPF record with a//64 is an error.
#
# A number in a macro is the count of "right-hand parts" to keep, after the order is reversed (RFC 7208, section 7.3). This library keeps the left-hand ones,
# and reverses the order afterwards, so %{d2r} is right by chance. Of the 20 examples of section 7.4, 9 differ; the one with an IPv6 address
# keeps its colons. "a//64" and "a:NAME//64" (section 12, dual-cidr-length), and a macro in a redirect (section 6.1), are taken for syntax errors.
# Mail that the domain allows then fails. The resolver in the second part answers from a table.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . haraka-plugin-spf@1.3.0 >/dev/null 2>&1
cat >run.js <<'JS'
const { SPF } = require('haraka-plugin-spf/lib/spf');
SPF.prototype.log_debug = () => {};
const examples = [
  ['%{s}', 'strong-bad@email.example.com'], ['%{o}', 'email.example.com'], ['%{d}', 'email.example.com'],
  ['%{d4}', 'email.example.com'], ['%{d3}', 'email.example.com'], ['%{d2}', 'example.com'], ['%{d1}', 'com'],
  ['%{dr}', 'com.example.email'], ['%{d2r}', 'example.email'], ['%{l}', 'strong-bad'], ['%{l-}', 'strong.bad'],
  ['%{lr}', 'strong-bad'], ['%{lr-}', 'bad.strong'], ['%{l1r-}', 'strong'],
  ['%{ir}.%{v}._spf.%{d2}', '3.2.0.192.in-addr._spf.example.com'],
  ['%{lr-}.lp._spf.%{d2}', 'bad.strong.lp._spf.example.com'],
  ['%{lr-}.lp.%{ir}.%{v}._spf.%{d2}', 'bad.strong.lp.3.2.0.192.in-addr._spf.example.com'],
  ['%{ir}.%{v}.%{l1r-}.lp._spf.%{d2}', '3.2.0.192.in-addr.strong.lp._spf.example.com'],
  ['%{d2}.trusted-domains.example.net', 'example.com.trusted-domains.example.net'],
  ['%{ir}.%{v}._spf.%{d2}', '1.0.b.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6._spf.example.com', '2001:db8::cb01'],
];
let right = 0;
for (const [macro, want, ip] of examples) {
  const spf = new SPF();
  Object.assign(spf, { mail_from: 'strong-bad@email.example.com', domain: 'email.example.com', ip: ip ?? '192.0.2.3', ip_ver: ip ? 'ipv6' : 'ipv4' });
  const got = spf.expand_macros(macro);
  if (got === want) right++;
  else console.log(`${macro}: ${got}, and not ${want}`);
}
console.log(`right: ${right} of ${examples.length}`);
const missing = () => Promise.reject(Object.assign(new Error('no such name'), { code: 'ENOTFOUND' }));
const check = async (ip, records) => {
  const spf = new SPF();
  const look = (type) => (name) => (records[`${type} ${name}`] ? Promise.resolve(records[`${type} ${name}`]) : missing());
  spf.resolver = { resolveTxt: look('TXT'), resolve: look('A'), resolve4: look('A'), resolve6: look('AAAA') };
  const record = records['TXT email.example.com'][0][0];
  console.log(`${ip} and "${record}": ${spf.result(await spf.check_host(ip, 'email.example.com', 'strong-bad@email.example.com'))}`);
};
(async () => {
  const txt = (s) => [[`v=spf1 ${s}`]];
  await check('192.0.2.3', { 'TXT email.example.com': txt('exists:%{ir}.%{v}._spf.%{d} -all'), 'A 3.2.0.192.in-addr._spf.email.example.com': ['127.0.0.2'] });
  await check('192.0.2.3', { 'TXT email.example.com': txt('exists:%{ir}.%{v}._spf.%{d2} -all'), 'A 3.2.0.192.in-addr._spf.example.com': ['127.0.0.2'] });
  const aaaa = { 'A email.example.com': ['192.0.2.3'], 'AAAA email.example.com': ['2001:db8::1'] };
  for (const a of ['a/32//64', 'a//64', 'a:email.example.com//64']) await check('2001:db8::cb01', { 'TXT email.example.com': txt(`${a} -all`), ...aaaa });
  for (const r of ['_spf.example.com', '_spf.%{d2}']) await check('192.0.2.3', { 'TXT email.example.com': txt(`redirect=${r}`), 'TXT _spf.example.com': txt('ip4:192.0.2.0/24 -all') });
})();
JS
echo "haraka-plugin-spf 1.3.0"
node run.js 2>/dev/null | grep -v '^loaded ' | tee out.txt
diff out.txt - <<'OUT'
%{d2}: email.example, and not example.com
%{d1}: email, and not com
%{l-}: strong-bad, and not strong.bad
%{ir}.%{v}._spf.%{d2}: 3.2.0.192.in-addr._spf.email.example, and not 3.2.0.192.in-addr._spf.example.com
%{lr-}.lp._spf.%{d2}: bad.strong.lp._spf.email.example, and not bad.strong.lp._spf.example.com
%{lr-}.lp.%{ir}.%{v}._spf.%{d2}: bad.strong.lp.3.2.0.192.in-addr._spf.email.example, and not bad.strong.lp.3.2.0.192.in-addr._spf.example.com
%{ir}.%{v}.%{l1r-}.lp._spf.%{d2}: 3.2.0.192.in-addr.strong.lp._spf.email.example, and not 3.2.0.192.in-addr.strong.lp._spf.example.com
%{d2}.trusted-domains.example.net: email.example.trusted-domains.example.net, and not example.com.trusted-domains.example.net
%{ir}.%{v}._spf.%{d2}: 2001:db8::cb01.ip6._spf.email.example, and not 1.0.b.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6._spf.example.com
right: 11 of 20
192.0.2.3 and "v=spf1 exists:%{ir}.%{v}._spf.%{d} -all": Pass
192.0.2.3 and "v=spf1 exists:%{ir}.%{v}._spf.%{d2} -all": Fail
2001:db8::cb01 and "v=spf1 a/32//64 -all": Pass
2001:db8::cb01 and "v=spf1 a//64 -all": PermError
2001:db8::cb01 and "v=spf1 a:email.example.com//64 -all": PermError
192.0.2.3 and "v=spf1 redirect=_spf.example.com": Pass
192.0.2.3 and "v=spf1 redirect=_spf.%{d2}": PermError
OUT
echo "as found"
