/** The words of a question in the lines of a hit. Pure. */

export interface Piece {
  text: string;
  hit: boolean;
}

/** Cuts `text` into pieces that are a word of `query`, or begin with one, and the pieces between. */
export function marked(text: string, query: string): Piece[] {
  const words = query.toLowerCase().match(/[\p{L}\p{N}_]+/gu) ?? [];
  if (words.length === 0) return [{ text, hit: false }];
  const pattern = new RegExp(`(${[...new Set(words)].sort((a, b) => b.length - a.length).join('|')})`, 'giu');
  return text
    .split(pattern)
    .map((piece, at) => ({ text: piece, hit: at % 2 === 1 }))
    .filter((piece) => piece.text !== '');
}
