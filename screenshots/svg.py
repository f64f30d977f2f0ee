"""Turns a captured terminal (text with SGR sequences on stdin) into an SVG, one cell at a time:
svg.py WIDTH HEIGHT [light], the last where the terminal's own background is."""

import re
import sys
import unicodedata
from html import escape

WIDTH, HEIGHT = int(sys.argv[1]), int(sys.argv[2])
CELL_X, CELL_Y, FONT = 8.4, 17, 14
BACK, FORE = ("#ffffff", "#1f2328") if "light" in sys.argv[3:] else ("#0d1117", "#c9d1d9")
BASE = ["#484f58", "#ff7b72", "#3fb950", "#d29922", "#58a6ff", "#bc8cff", "#39c5cf", "#b1bac4"]
BRIGHT = ["#6e7681", "#ffa198", "#56d364", "#e3b341", "#79c0ff", "#d2a8ff", "#56d4dd", "#ffffff"]


def indexed(number):
    if number < 8:
        return BASE[number]
    if number < 16:
        return BRIGHT[number - 8]
    if number < 232:
        number -= 16
        levels = [0, 95, 135, 175, 215, 255]
        return "#%02x%02x%02x" % (levels[number // 36], levels[number // 6 % 6], levels[number % 6])
    return "#%02x%02x%02x" % ((8 + 10 * (number - 232),) * 3)


def turn(style, codes):
    codes = iter(codes)
    for code in codes:
        if code == 0:
            style.clear()
        elif code in (1, 2, 4, 7):
            style[code] = True
        elif code == 22:
            style.pop(1, None), style.pop(2, None)
        elif code in (24, 27):
            style.pop(code - 20, None)
        elif code in (38, 48):
            key = "fg" if code == 38 else "bg"
            if next(codes) == 5:
                style[key] = indexed(next(codes))
            else:
                style[key] = "#%02x%02x%02x" % (next(codes), next(codes), next(codes))
        elif code in (39, 49):
            style.pop("fg" if code == 39 else "bg", None)
        elif 30 <= code <= 37:
            style["fg"] = BASE[code - 30]
        elif 90 <= code <= 97:
            style["fg"] = BRIGHT[code - 90]
        elif 40 <= code <= 47:
            style["bg"] = BASE[code - 40]
        elif 100 <= code <= 107:
            style["bg"] = BRIGHT[code - 100]


def cells(line, style):
    column = 0
    for part in re.split(r"(\x1b\[[0-9;]*m)", line):
        if part.startswith("\x1b["):
            turn(style, [int(code or 0) for code in part[2:-1].split(";")])
            continue
        for char in re.sub(r"\x1b.", "", part):
            wide = unicodedata.east_asian_width(char) in "WF"
            yield column, char, dict(style)
            column += 2 if wide else 1


def draw():
    width, height = WIDTH * CELL_X, HEIGHT * CELL_Y
    yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" width="{width:.0f}" height="{height}">'
    yield f'<rect width="100%" height="100%" fill="{BACK}"/>'
    yield f'<g font-family="JetBrains Mono,DejaVu Sans Mono,Menlo,monospace" font-size="{FONT}" xml:space="preserve">'
    style = {}
    for row, line in enumerate(sys.stdin.read().split("\n")[:HEIGHT]):
        for column, char, look in cells(line, style):
            fore, back = look.get("fg", FORE), look.get("bg")
            if look.get(7):
                fore, back = back or BACK, fore
            x, y = column * CELL_X, row * CELL_Y
            if back:
                yield f'<rect x="{x:.1f}" y="{y}" width="{CELL_X + 0.3:.1f}" height="{CELL_Y}" fill="{back}"/>'
            if char != " ":
                weight = ' font-weight="bold"' if look.get(1) else ""
                faint = ' opacity="0.6"' if look.get(2) else ""
                yield f'<text x="{x:.1f}" y="{y + 13}" fill="{fore}"{weight}{faint}>{escape(char)}</text>'
    yield "</g></svg>"


print("\n".join(draw()))
