// Svelte's options: runes everywhere; TypeScript is stripped by the compiler itself.

/** @type {import('@sveltejs/vite-plugin-svelte').SvelteConfig} */
export default {
  compilerOptions: { runes: true },
};
