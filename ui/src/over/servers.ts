// What a list of model servers lacks before it can be saved.

import type { ProviderSettings } from '../ipc/bindings';

/** The first thing that is missing or wrong, in words; null where nothing is. */
export function lacks(providers: readonly ProviderSettings[]): string | null {
  const names = providers.map((provider) => provider.id.trim());
  if (names.includes('')) return 'A server needs a name.';
  if (new Set(names).size < names.length) return 'Two servers have the same name.';
  const odd = providers.find((provider) => !isAddress(provider.base_url.trim()));
  return odd === undefined ? null : `The address of ${odd.id.trim()} must begin with http:// or https://.`;
}

function isAddress(text: string): boolean {
  try {
    return ['http:', 'https:'].includes(new URL(text).protocol);
  } catch {
    return false;
  }
}
