// The recordings are what the generated types say, to the last field.

import { resolve } from 'node:path';
import { readFileSync } from 'node:fs';
import ts from 'typescript';
import { expect, it } from 'vitest';
import { FIXTURES, recordingNames } from './bench';

const ROOT = resolve(import.meta.dirname, '..');

/** The complaints of the type checker about recordings written as literals of their type, by name. */
function complaints(texts: Record<string, string>): Record<string, string[]> {
  const sources = new Map(
    Object.entries(texts).map(([name, json]) => [
      resolve(ROOT, `src/ipc/checked-${name}.ts`),
      `import type { Recording } from './recording';\nexport const recording: Recording = ${json};\n`,
    ]),
  );
  const options: ts.CompilerOptions = {
    strict: true,
    noEmit: true,
    target: ts.ScriptTarget.ES2022,
    lib: ['lib.es2022.d.ts'],
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    exactOptionalPropertyTypes: true,
    skipLibCheck: true,
    types: [],
  };
  const host = ts.createCompilerHost(options);
  const { getSourceFile, fileExists } = host;
  host.fileExists = (name) => sources.has(name) || fileExists(name);
  host.getSourceFile = (name, language, ...rest) => {
    const source = sources.get(name);
    return source === undefined ? getSourceFile(name, language, ...rest) : ts.createSourceFile(name, source, language);
  };
  const program = ts.createProgram([...sources.keys()], options, host);
  return Object.fromEntries(
    Object.keys(texts).map((name) => {
      const file = program.getSourceFile(resolve(ROOT, `src/ipc/checked-${name}.ts`));
      const found = ts.getPreEmitDiagnostics(program, file);
      return [name, found.map((one) => ts.flattenDiagnosticMessageText(one.messageText, '\n').slice(0, 400))];
    }),
  );
}

it('the recordings have the generated types, and one with a word of its own is refused', { timeout: 120_000 }, () => {
  const texts = Object.fromEntries(recordingNames().map((name) => [name, readFileSync(`${FIXTURES}/${name}.json`, 'utf8')]));
  const spoilt = (texts['wrap-job'] ?? '').replace('"call_finished"', '"call_ended"');
  const { spoilt: refused, ...others } = complaints({ ...texts, spoilt });
  expect(others).toEqual(Object.fromEntries(recordingNames().map((name) => [name, []])));
  expect(refused).not.toEqual([]);
});

it.each(recordingNames())('the events of %s are numbered without a gap and go on in time', (name) => {
  const { events } = JSON.parse(readFileSync(`${FIXTURES}/${name}.json`, 'utf8')) as { events: { seq: number; at_ms: number }[] };
  const first = events[0]?.seq ?? 0;
  expect(events.map((event) => event.seq)).toEqual(events.map((_, index) => first + index));
  expect(events.every((event, index) => index === 0 || event.at_ms >= (events[index - 1]?.at_ms ?? 0))).toBe(true);
});
