// What the linter holds against the page: typed rules for scripts and components, no `any`, no raw HTML.

import js from '@eslint/js';
import svelte from 'eslint-plugin-svelte';
import globals from 'globals';
import ts from 'typescript-eslint';
import svelteConfig from './svelte.config.js';

export default ts.config(
  { ignores: ['dist', 'node_modules', 'src/ipc/bindings.ts'] },
  js.configs.recommended,
  ...ts.configs.strict,
  ...svelte.configs.recommended,
  { languageOptions: { globals: { ...globals.browser } } },
  {
    files: ['**/*.svelte', '**/*.svelte.ts'],
    languageOptions: { parserOptions: { parser: ts.parser, svelteConfig, extraFileExtensions: ['.svelte'] } },
  },
  {
    rules: {
      'no-undef': 'off', // the type checker knows better
      'no-restricted-syntax': [
        'error',
        {
          selector: 'ImportDeclaration[source.value=/^@tauri-apps/]',
          message: 'Only src/ipc/tauri.ts knows Tauri; speak through the Port.',
        },
        {
          selector: 'SvelteAttribute[key.name="style"]',
          message: 'The content security policy refuses style attributes; use a class or a style: directive.',
        },
      ],
      '@typescript-eslint/consistent-type-imports': 'error',
      'svelte/no-at-html-tags': 'error',
      'svelte/require-each-key': 'error',
      'svelte/button-has-type': 'error',
    },
  },
  { files: ['src/ipc/tauri.ts', 'tests/**'], rules: { 'no-restricted-syntax': 'off' } },
);
