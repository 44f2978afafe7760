// Splits a model's text into paragraphs and code, so that each can be set in its own type.
//
// Rule: text stays text. Nothing here makes markup; a fence that is still open (a stream) counts as code.

export interface Block {
  kind: 'text' | 'code';
  /** What stands after the opening fence. */
  label: string;
  text: string;
}

/** The blocks of a text in order; empty ones are left out. */
export function blocks(text: string): Block[] {
  const found: Block[] = [];
  let open: Block = { kind: 'text', label: '', text: '' };
  let fence = '';
  for (const line of text.split('\n')) {
    const mark = /^ {0,3}(`{3,}|~{3,})(.*)$/.exec(line);
    if (open.kind === 'text' && mark !== null) {
      found.push(open);
      fence = mark[1] ?? '```';
      open = { kind: 'code', label: (mark[2] ?? '').trim(), text: '' };
    } else if (open.kind === 'code' && mark !== null && (mark[1] ?? '').startsWith(fence) && (mark[2] ?? '').trim() === '') {
      found.push(open);
      open = { kind: 'text', label: '', text: '' };
    } else {
      open.text += `${line}\n`;
    }
  }
  found.push(open);
  return found
    .map((block) => ({ ...block, text: block.kind === 'text' ? block.text.trim() : block.text.replace(/\n$/, '') }))
    .filter((block) => block.text !== '' || block.kind === 'code');
}

/** The pieces of a paragraph: words, and code between single back-ticks. */
export function pieces(text: string): { code: boolean; text: string }[] {
  return text
    .split(/`([^`\n]+)`/)
    .map((piece, index) => ({ code: index % 2 === 1, text: piece }))
    .filter((piece) => piece.text !== '');
}
