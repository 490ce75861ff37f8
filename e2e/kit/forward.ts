import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { kubeconfig } from './kubectl.ts';

/** A way from here to a port in the cluster, by `kubectl port-forward`; built again when it has broken. */
export class Forward {
  readonly #args: readonly string[];
  #child: ChildProcess | null = null;
  #url: Promise<string> | null = null;

  constructor(namespace: string, target: string, port: number) {
    this.#args = ['-n', namespace, 'port-forward', target, `:${port}`];
  }

  url(): Promise<string> {
    this.#url ??= this.#open();
    return this.#url;
  }

  async #open(): Promise<string> {
    const child = spawn('kubectl', this.#args, {
      env: { ...process.env, KUBECONFIG: kubeconfig() },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    child.once('exit', () => this.#forget(child));
    // Read to the end: a pipe that nobody reads would stop kubectl at the next connection.
    let [said, complaint] = ['', ''];
    child.stderr.on('data', (text) => {
      complaint += text;
    });
    return new Promise((resolve, reject) => {
      child.once('exit', () => reject(new Error(`kubectl ${this.#args.join(' ')}: ${complaint.trim()}`)));
      child.stdout.on('data', (text) => {
        said += text;
        const port = /^Forwarding from 127\.0\.0\.1:(\d+)/m.exec(said)?.[1];
        if (port !== undefined) resolve(`http://127.0.0.1:${port}`);
      });
    });
  }

  #forget(child: ChildProcess): void {
    if (this.#child !== child) return;
    this.#child = null;
    this.#url = null;
  }

  /** Gives the way up; the next call builds another. */
  async close(): Promise<void> {
    const child = this.#child;
    if (child === null) return;
    this.#forget(child);
    const exited = once(child, 'exit');
    if (child.kill()) await exited;
  }
}
