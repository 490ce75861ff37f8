import { X509Certificate } from 'node:crypto';
import type { Socket } from 'node:net';
import tls from 'node:tls';

/** The only application protocol on our ports (PostgreSQL documentation, 54.2.11). */
export const ALPN = 'postgresql';

/** The certificate that a client presented, and whether it chains to the configured authorities at this moment. */
export interface PeerCertificate {
  readonly certificate: X509Certificate;
  readonly verified: boolean;
}

export interface TlsFacts {
  readonly version: string;
  readonly cipher: string;
}

export interface TerminateOptions {
  readonly context: tls.SecureContext;
  readonly requestClientCertificate: boolean;
  readonly signal: AbortSignal;
}

/** Does the server's side of a TLS handshake on an accepted socket; null: it failed and the socket is destroyed. */
export async function terminateTls(socket: Socket, options: TerminateOptions): Promise<tls.TLSSocket | null> {
  const secure = new tls.TLSSocket(socket, {
    isServer: true,
    secureContext: options.context,
    requestCert: options.requestClientCertificate,
    // Whether a certificate is needed, and believed, is decided by the listener's authentication: with a reason.
    rejectUnauthorized: false,
    ALPNProtocols: [ALPN],
  });
  const done = await new Promise<boolean>((resolve) => {
    const fail = (): void => resolve(false);
    secure.on('error', fail);
    secure.once('close', fail);
    socket.once('close', fail);
    options.signal.addEventListener('abort', fail, { once: true });
    secure.once('secure', () => {
      options.signal.removeEventListener('abort', fail);
      resolve(true);
    });
  });
  if (done) return secure;
  secure.destroy();
  socket.destroy();
  return null;
}

export function tlsFacts(socket: tls.TLSSocket): TlsFacts {
  return { version: socket.getProtocol() ?? 'unknown', cipher: socket.getCipher().name };
}

/** The client's certificate; null: it sent none. */
export function peerCertificate(socket: tls.TLSSocket): PeerCertificate | null {
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) return null;
  return { certificate: new X509Certificate(certificate.raw), verified: isVerified(socket) };
}

/**
 * OpenSSL's verdict on the client's chain, purpose included. Node sets `authorized` only on sockets that its own
 * tls.Server accepted; on ours the verdict is asked of the handle. Without an answer the certificate is not believed.
 */
function isVerified(socket: tls.TLSSocket): boolean {
  const handle = (socket as unknown as { readonly _handle?: { verifyError?(): Error | null } })._handle;
  return handle?.verifyError !== undefined && handle.verifyError() === null;
}
