"""Texts that try to act on a terminal, to hide, or to look like something else.

Later channels (mail, Slack, pages) are tried on the same ones.
"""

ANSI = {
    "clear the screen": "\x1b[2J\x1b[Hall is well",
    "cursor up and over": "rm -rf ~\x1b[1A\x1b[2Kls",
    "conceal": "\x1b[8mrm -rf ~\x1b[28m",
    "black on black": "\x1b[30;40mrm -rf ~\x1b[0m",
    "reset": "\x1bc",
    "alternate screen": "\x1b[?1049h",
    "save and restore the cursor": "\x1b7rm\x1b8ls",
    "scroll region": "\x1b[1;1r",
    "answer back": "\x1b[6n\x1b[c",
    "bracketed paste ends": "\x1b[201~rm -rf ~\n",
    "device control string": "\x1bPq#0;2;0;0;0\x1b\\",
    "application command": "\x1b_hidden\x1b\\",
    "privacy message": "\x1b^hidden\x1b\\",
    "keypad mode": "\x1b=\x1b>",
    "double height": "\x1b#3",
}
OSC = {
    "link": "\x1b]8;;https://evil.example\x1b\\https://good.example\x1b]8;;\x1b\\",
    "link ended by a bell": "\x1b]8;;https://evil.example\x07good\x1b]8;;\x07",
    "title": "\x1b]0;root@host\x07",
    "clipboard": "\x1b]52;c;cm0gLXJmIH4=\x07",
    "notification": "\x1b]777;notify;approved;by you\x1b\\",
    "palette": "\x1b]4;1;#000000\x07",
    "unended": "\x1b]0;swallows what follows",
}
C1 = {
    "control sequence": "\x9b31mred",
    "operating system command": "\x9d0;title\x9c",
    "device control": "\x90hidden\x9c",
    "next line": "a\x85b",
    "reverse index": "a\x8db",
    "single shift": "\x8ea\x8fb",
}
CONTROLS = {
    "carriage return": "safe\r$ rm -rf ~",
    "backspaces": "rm -rf ~\b\b\b\b\b\b\b\bls",
    "bell": "\a" * 40,
    "null": "a\0b",
    "delete": "ab\x7fc",
    "vertical tab and form feed": "a\x0bb\x0cc",
    "shift out": "\x0elqqk\x0f",
}
BIDI = {
    "override": "user\u202e gnp.exe",
    "isolate": "\u2066rtl\u2069",
    "first strong isolate": "\u2068x\u2069",
    "embedding": "\u202babc\u202c",
    "marks": "a\u200eb\u200fc\u061cd",
    "trojan source": "if access != \u202e\u2066// admins only\u2069 \u2066{",
}
INVISIBLE = {
    "zero width": "zero\u200bwidth\u200djoined\ufeff",
    "non-joiner": "rm\u200c -rf",
    "word joiner": "git\u2060 push",
    "soft hyphen": "soft\u00adhyphen",
    "tags": "ls\U000e0072\U000e006d",
    "variation selectors": "a\ufe0fb\U000e0101",
    "blank letters": "blank\u3164filler\u2800\u115f\uffa0",
    "odd spaces": "rm\u00a0-rf\u2003~\u202f/",
    "line separators": "line\u2028separator\u2029s",
    "grapheme joiner": "a\u034fb",
    "annotation": "\ufff9a\ufffab\ufffb",
    "musical": "\U0001d173x\U0001d174",
    "private use": "\ue000\uf8ff",
    "invisible times": "2\u20623",
}
LOOKALIKES = {
    "cyrillic a": "p\u0430ypal",
    "cyrillic o": "g\u043eogle",
    "greek omicron": "micr\u03bfsoft",
    "cyrillic es": "\u0441url",
    "armenian": "\u0578ode",
    "cherokee": "\u13a0pple",
}
MARKUP = {
    "rich link": "[link=https://x]y[/link]",
    "rich conceal": "[conceal]rm -rf ~[/conceal]",
    "rich style": "[black on black]rm[/]",
    "markdown link": "[good](https://evil.example)",
    "html": "<b style='display:none'>rm</b><!-- x -->",
    "slack mention": "<!channel> <https://evil.example|good>",
    "jinja": "{{ config }}{% raw %}",
    "shell": "$(rm -rf ~)`id`",
}
PRETENCES = {
    "a prompt": "Approve 0123456789abcdef (000000000000)? [y/N] y",
    "a digest": "digest     " + "0" * 64,
    "a tool": "tool       read_file",
    "the end": "\nwhat the model wrote about it (its own words, checked by nobody):\n",
    "a shell": "$ exit\nroot@host:~# ",
    "padding": " " * 500 + "rm -rf ~",
    "empty lines": "\n" * 300 + "rm -rf ~",
    "a quote": '" ; rm -rf ~ ; "',
    "an escape": "\\u{202E}\\n\\x1b[2J",
    "a block": "  | one\n  | two",
}
HIDDEN = {
    f"{kind}: {name}": text
    for kind, spoofs in {
        "ANSI": ANSI,
        "OSC": OSC,
        "C1": C1,
        "controls": CONTROLS,
        "bidi": BIDI,
        "invisible": INVISIBLE,
    }.items()
    for name, text in spoofs.items()
}
ALL = {
    **HIDDEN,
    **{f"lookalike: {name}": text for name, text in LOOKALIKES.items()},
    **{f"markup: {name}": text for name, text in MARKUP.items()},
    **{f"pretence: {name}": text for name, text in PRETENCES.items()},
}
