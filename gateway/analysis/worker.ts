/**
 * The parser's thread. Trees never leave it: cloning one fails from a few thousand terms on. A throw that is not a
 * syntax error has left the WASM instance damaged (its stack is not unwound), so a new one takes its place.
 */
import { parentPort } from 'node:worker_threads';
import { analyzeText, freeIn } from '../sql/analyze.ts';
import type { Analysis } from '../sql/facts.ts';
import { MAX_BYTES } from '../sql/template.ts';
import { loadParser, type Parser, SqlSyntaxError } from './parser.ts';
import type { Answer, Job } from './protocol.ts';

const port = parentPort!;
let parser: Parser = await loadParser();
say({ kind: 'Ready' });

port.on('message', (job: Job) => {
  const { damaged, ...result } = analyze(Buffer.from(job.text));
  const answer: Answer = { kind: 'Done', id: job.id, ...result, restarted: damaged };
  if (!damaged) return say(answer);
  void loadParser().then((fresh) => {
    parser = fresh;
    say(answer);
  });
});

function say(message: Answer): void {
  port.postMessage(message);
}

function analyze(text: Buffer): { analysis: Analysis; free: number[]; damaged: boolean } {
  try {
    const tree = parser.parse(text.toString('utf8'));
    return { analysis: analyzeText(tree, text), free: text.length > MAX_BYTES ? [] : freeIn(tree), damaged: false };
  } catch (error) {
    if (error instanceof SqlSyntaxError) {
      const { message, position } = error;
      return { analysis: { kind: 'SyntaxError', message, position }, free: [], damaged: false };
    }
    const hint = 'Write it with fewer terms: IN (…), arrays or a join in place of long chains of operators.';
    return {
      analysis: { kind: 'NotUnderstood', reason: 'it is too deeply nested or too long to be parsed', hint },
      free: [],
      damaged: true,
    };
  }
}
