#!/usr/bin/env bash
# irc-message (npm): the tag "a;b c" of a message arrives as "a\:b\sc".
#
# The message tags of IRCv3, which this parser supports (README), escape five characters in values: \: is a semicolon, \s a space, \\ a backslash, \r and \n are
# what they are elsewhere, and a backslash before anything else is dropped. The parser leaves the escapes in place, and makes an empty value `true`, although a missing value and an empty
# one are the same. irc-framework, for comparison, decodes them.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . irc-message@3.0.2 irc-framework@4.14.0 >/dev/null 2>&1
cat >run.js <<'JS'
const { parse } = require('irc-message');
const other = require('irc-framework/src/irclineparser');
for (const line of ['@note=a\\:b\\sc :nick PRIVMSG #c :hi', '@path=c:\\\\new :nick PRIVMSG #c :hi', '@odd=\\b :nick PRIVMSG #c :hi', '@empty= :nick PRIVMSG #c :hi']) {
  console.log(`${line.split(' ')[0]}: irc-message ${JSON.stringify(parse(line).tags)}, irc-framework ${JSON.stringify(other(line).tags)}`);
}
JS
echo "irc-message 3.0.2, and irc-framework 4.14.0 for comparison"
node run.js | tee out.txt
diff out.txt - <<'OUT'
@note=a\:b\sc: irc-message {"note":"a\\:b\\sc"}, irc-framework {"note":"a;b c"}
@path=c:\\new: irc-message {"path":"c:\\\\new"}, irc-framework {"path":"c:\\new"}
@odd=\b: irc-message {"odd":"\\b"}, irc-framework {"odd":"b"}
@empty=: irc-message {"empty":true}, irc-framework {"empty":""}
OUT
echo "as found"
