#!/usr/bin/env bash
# mt940-js (npm) takes a payment that is given back for one more payment, and mt940js (npm) reads 1.005 Kuwaiti dinars as 1.
#
# In field 61 of an account statement, the mark is D, C, RD or RC: RC is "Reversal of Credit (debit entry)", and RD "Reversal of Debit (credit entry)"
# (SWIFT, MT 940, field 61, subfield 3). mt940-js takes each mark with a C in it for a credit, and no other. Its entries then contradict the balances of the
# same statement: an account rises by 80, and the entries say that it falls by 80. mt940js has that right. It rounds each amount to two decimals,
# and the currencies with three are ISO 4217's BHD, IQD, JOD, KWD, LYD, OMR and TND. Balances and entries are rounded one by one, and
# then compared: a right statement with three payments of 1.005 dinars is an error, for its sum would be wrong.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . mt940-js@1.0.0 tslib@1.14.1 mt940js@1.3.5 >/dev/null
cat >run.js <<'JS'
const one = require('mt940-js');
const { Parser } = require('mt940js');
const statement = (opening, entries, closing) => [':20:STARTUMS', ':25:12345678/0123456789', ':28C:1/1', `:60F:C260101${opening}`, ...entries.map((e) => `:61:2601020102${e}NTRFNONREF`), `:62F:C260102${closing}`, ''].join('\r\n');
const texts = {
  'a debit of 20 and a credit of 100 that are taken back': statement('EUR100,00', ['RD20,00', 'RC100,00'], 'EUR20,00'),
  'a debit of 100 and a credit of 20 that are taken back': statement('EUR100,00', ['RD100,00', 'RC20,00'], 'EUR180,00'),
  'one payment of 1.005 dinars': statement('KWD0,000', ['C1,005'], 'KWD1,005'),
  'three payments of 1.005 dinars': statement('KWD0,000', ['C1,005', 'C1,005', 'C1,005'], 'KWD3,015'),
};
(async () => {
  for (const [what, text] of Object.entries(texts)) {
    const [a] = await one.read(Buffer.from(text));
    console.log(`${what}:`);
    console.log(`  mt940-js: ${a.openingBalance.value} to ${a.closingBalance.value}, ${a.transactions.map((t) => `${t.isCredit ? '+' : '-'}${t.amount}`).join(' ')}`);
    let b;
    try {
      const [s] = new Parser().parse(text);
      b = `${s.openingBalance} to ${s.closingBalance}, ${s.transactions.map((t) => `${t.amount > 0 ? '+' : ''}${t.amount}`).join(' ')}`;
    } catch (e) { b = `error: ${e.message}`; }
    console.log(`  mt940js: ${b}`);
  }
})();
JS
echo "mt940-js 1.0.0, mt940js 1.3.5"
node run.js | tee out.txt
diff out.txt - <<'OUT'
a debit of 20 and a credit of 100 that are taken back:
  mt940-js: 100 to 20, -20 +100
  mt940js: 100 to 20, +20 -100
a debit of 100 and a credit of 20 that are taken back:
  mt940-js: 100 to 180, -100 +20
  mt940js: 100 to 180, +100 -20
one payment of 1.005 dinars:
  mt940-js: 0 to 1.005, +1.005
  mt940js: 0 to 1, +1
three payments of 1.005 dinars:
  mt940-js: 0 to 3.015, +1.005 +1.005 +1.005
  mt940js: error: Sum of lines (3) != turnover (3.02) in group 1
OUT
echo "as found"
