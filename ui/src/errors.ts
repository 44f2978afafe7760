// Keeps what goes wrong in the page itself, so that tests can hold it to nothing and a report can name it.
//
// Rule: it only listens; the console still shows everything.

declare global {
  interface Window {
    /** Errors, refused promises and blocked content since the page was opened, oldest first. */
    __atelierErrors?: string[];
  }
}

/** At most so many are kept; the first ones say most. */
const KEPT = 50;

export function keepErrors(): void {
  const kept: string[] = [];
  window.__atelierErrors = kept;
  const keep = (text: string): void => {
    if (kept.length < KEPT) kept.push(text);
  };
  window.addEventListener('error', (event) => keep(`error: ${event.message}`));
  window.addEventListener('unhandledrejection', (event) => keep(`rejection: ${String(event.reason)}`));
  document.addEventListener('securitypolicyviolation', (event) => keep(`blocked: ${event.violatedDirective} ${event.blockedURI}`));
  const shown = console.error.bind(console);
  console.error = (...parts: unknown[]) => {
    keep(`console: ${parts.map(String).join(' ')}`);
    shown(...parts);
  };
}
