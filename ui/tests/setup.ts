// What jsdom lacks and the page uses, and a failing test for every unexpected word on the console.

import { afterEach, beforeEach, expect, vi } from 'vitest';

/** Nothing has a size here, so nothing is ever observed. */
globalThis.ResizeObserver ??= class {
  observe(): void {}
  unobserve(): void {}
  disconnect(): void {}
};

beforeEach(() => {
  localStorage.clear();
  document.documentElement.lang = 'en'; // as the page's file says
  document.documentElement.removeAttribute('data-theme');
  vi.spyOn(console, 'error');
  vi.spyOn(console, 'warn');
});

afterEach(() => {
  expect(vi.mocked(console.error).mock.calls, 'console.error').toEqual([]);
  expect(vi.mocked(console.warn).mock.calls, 'console.warn').toEqual([]);
});
