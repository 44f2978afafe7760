// The tokens keep their promises: enough contrast in both looks, and nothing else names a colour or a size.

import { readdirSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';

const SRC = resolve(import.meta.dirname, '../src');
const css = readFileSync(`${SRC}/styles/tokens.css`, 'utf8');

/** The declarations of one rule. */
function rule(selector: string): Record<string, string> {
  const from = css.indexOf(`${selector} {`);
  const body = css.slice(from, css.indexOf('\n}', from));
  return Object.fromEntries([...body.matchAll(/(--[\w-]+):\s*([^;]+);/g)].map((match) => [match[1] ?? '', match[2] ?? '']));
}
const dark = rule(':root');
const looks: Record<string, Record<string, string>> = { dark, light: { ...dark, ...rule(":root[data-theme='light']") } };

type Rgb = [number, number, number];

function colour(look: string, token: string): Rgb {
  const value = looks[look]?.[token] ?? '';
  const inner = /^var\((--[\w-]+)\)$/.exec(value)?.[1];
  if (inner !== undefined) return colour(look, inner);
  const hex = /^#([0-9a-f]{6})$/.exec(value)?.[1];
  if (hex === undefined) throw new Error(`${token} is no colour: ${value}`);
  return [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16)) as Rgb;
}

/** WCAG 2.2 relative luminance. */
function luminance(rgb: Rgb): number {
  const [r, g, b] = rgb.map((part) => (part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4)) as Rgb;
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
function contrast(a: Rgb, b: Rgb): number {
  const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y) as [number, number];
  return (high + 0.05) / (low + 0.05);
}
function hsl(hue: number, s: number, l: number): Rgb {
  const a = s * Math.min(l, 1 - l);
  const part = (n: number): number => {
    const k = (n + hue / 30) % 12;
    return 255 * (l - a * Math.max(-1, Math.min(k - 3, 9 - k, 1)));
  };
  return [part(0), part(8), part(4)];
}

describe.each(['dark', 'light'])('the %s look', (look) => {
  const grounds = ['--ground', '--surface', '--raised', '--chosen'];
  const texts = ['--text', '--text-muted', '--accent', '--ok', '--warn', '--bad', '--info'];

  it.each(texts.flatMap((one) => grounds.map((ground) => [one, ground] as const)))('%s reads on %s', (one, ground) => {
    expect(contrast(colour(look, one), colour(look, ground))).toBeGreaterThanOrEqual(4.5);
  });

  it.each([
    ['--on-accent', '--accent'],
    ['--text', '--diff-add'],
    ['--text', '--diff-del'],
    ['--text', '--diff-add-gutter'],
    ['--text', '--diff-del-gutter'],
    ['--text', '--diff-add-word'],
    ['--text', '--diff-del-word'],
    ['--text-muted', '--diff-add'],
    ['--text-muted', '--diff-del'],
  ])('%s reads on %s', (one, ground) => {
    expect(contrast(colour(look, one), colour(look, ground))).toBeGreaterThanOrEqual(4.5);
  });

  it.each(['--ground', '--surface', '--raised'])('the edge of a control is seen on %s', (ground) => {
    expect(contrast(colour(look, '--edge'), colour(look, ground))).toBeGreaterThanOrEqual(3);
  });

  it('a role letter reads on every hue', () => {
    const part = (token: string): number => parseFloat(looks[look]?.[token] ?? '') / 100;
    for (let hue = 0; hue < 360; hue += 5) {
      const back = hsl(hue, part('--role-back-s'), part('--role-back-l'));
      const letter = hsl(hue, part('--role-text-s'), part('--role-text-l'));
      expect(contrast(back, letter), `hue ${hue}`).toBeGreaterThanOrEqual(4.5);
    }
  });
});

/** Components and style sheets, by their path under `src`. */
const sheets = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter((name) => /\.(svelte|css)$/.test(name));

it('only the tokens name colours, sizes and durations', () => {
  const files = sheets.filter((name) => !name.endsWith('tokens.css') && !name.endsWith('fonts.css'));
  expect(files.length).toBeGreaterThan(20);
  const found = files.flatMap((name) => {
    const text = readFileSync(`${SRC}/${name}`, 'utf8');
    const style = name.endsWith('.css') ? text : (/<style>([\s\S]*)<\/style>/.exec(text)?.[1] ?? '');
    return [...style.matchAll(/#[0-9a-f]{3,8}\b|\brgb|\b\d+(\.\d+)?(px|rem|em|ms|s)\b/g)].map((match) => `${name}: ${match[0]}`);
  });
  expect(found).toEqual([]);
});

it('every token that is used exists', () => {
  const own = new Set([...Object.keys(dark), '--hue', '--digits', '--rail-width', '--side-width']);
  const used = sheets.flatMap((name) =>
    [...readFileSync(`${SRC}/${name}`, 'utf8').matchAll(/var\((--[\w-]+)/g)].map((match) => match[1] ?? ''),
  );
  expect([...new Set(used)].filter((token) => !own.has(token))).toEqual([]);
});
