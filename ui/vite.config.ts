// How the page is built, served while developing, and tested.
//
// Rule: the production bundle holds no recording and nothing the window's content security policy would
// refuse, so nothing is inlined. `--mode recorded` builds the same page with the recorded port instead.

import { svelte } from '@sveltejs/vite-plugin-svelte';
import { svelteTesting } from '@testing-library/svelte/vite';
import { defineConfig } from 'vitest/config';

/** The policy the window sets; the preview server sends the same, so that a violation shows in a browser too. */
const POLICY =
  "default-src 'self'; connect-src ipc: http://ipc.localhost 'self'; style-src 'self'; script-src 'self'; " +
  "img-src 'self' data:; font-src 'self'";

export default defineConfig(({ mode, command }) => {
  const recorded = mode === 'recorded' || (command === 'serve' && mode !== 'production');
  return {
    plugins: [svelte(), svelteTesting()],
    define: { __RECORDED__: JSON.stringify(recorded) },
    clearScreen: false,
    server: { port: 1420, strictPort: true, fs: { allow: ['.', '../tests/fixtures'] } },
    preview: { port: 1421, strictPort: true, headers: { 'Content-Security-Policy': POLICY } },
    build: {
      outDir: mode === 'recorded' ? 'node_modules/.recorded' : 'dist',
      emptyOutDir: true,
      target: ['es2022', 'safari16'],
      assetsInlineLimit: 0,
      modulePreload: { polyfill: false },
    },
    test: {
      environment: 'jsdom',
      include: ['tests/**/*.test.ts'],
      setupFiles: ['tests/setup.ts'],
      restoreMocks: true,
      // one page for all files: making one costs more than most tests; each test clears what it left
      pool: 'threads',
      isolate: false,
      testTimeout: 30_000, // a loaded machine is slow, not wrong
    },
  };
});
