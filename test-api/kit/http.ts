import { Agent, request } from 'undici';

/** An answer of the API server, as it came. */
export interface Answer {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into whatever the server says
  readonly body: any;
}

export interface Ask {
  readonly method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly body?: object;
  readonly accept?: string;
  readonly contentType?: string;
}

/** One identity's way to the API server: plain HTTP, nothing of the product in it. */
export interface Http {
  ask(path: string, options?: Ask): Promise<Answer>;
  /** The same, and throws for anything but 2xx. */
  must(path: string, options?: Ask): Promise<Answer['body']>;
  close(): Promise<void>;
}

/** `headers` go with every request: those of impersonation, for one. */
export function openHttp(url: string, ca: string, token: string, headers: Readonly<Record<string, string>> = {}): Http {
  const agent = new Agent({ connect: { ca }, connections: 32 });
  const ask = async (path: string, options: Ask = {}): Promise<Answer> => {
    const { statusCode, body } = await request(url + path, {
      dispatcher: agent,
      method: options.method ?? 'GET',
      headers: {
        ...headers,
        authorization: `Bearer ${token}`,
        accept: options.accept ?? 'application/json',
        ...(options.body !== undefined && { 'content-type': options.contentType ?? 'application/json' }),
      },
      ...(options.body !== undefined && { body: JSON.stringify(options.body) }),
    });
    const text = await body.text();
    return { status: statusCode, body: text.startsWith('{') ? JSON.parse(text) : text };
  };
  return {
    ask,
    async must(path, options) {
      const { status, body } = await ask(path, options);
      if (status >= 300)
        throw new Error(`${options?.method ?? 'GET'} ${path}: ${status} ${body.message ?? JSON.stringify(body)}`);
      return body;
    },
    close: () => agent.destroy(),
  };
}
