// oidc-provider, a certified authorization server, on a free port of 127.0.0.1 by TLS: oidc-provider.mjs SETTINGS.json
// README.md tells what the settings are, and what is written to stdout.
import { createPublicKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import { readFileSync, writeSync } from 'node:fs';
import { createServer } from 'node:https';
import Provider from 'oidc-provider';

const settings = JSON.parse(readFileSync(process.argv[2]));
const say = (line) => writeSync(1, `${line}\n`);

const clients = settings.clients.map(({ public_key, kid, ...client }) => ({
  ...client,
  ...(public_key && { jwks: { keys: [{ ...createPublicKey(public_key).export({ format: 'jwk' }), kid }] } }),
  grant_types: ['client_credentials'],
  response_types: [],
  redirect_uris: [],
}));
// It asks for a key of its own; nothing here is signed with it.
const own_key = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' });

const server = createServer({
  cert: readFileSync(settings.certificate),
  key: readFileSync(settings.key),
  ca: readFileSync(settings.ca),
  requestCert: true,
  rejectUnauthorized: settings.certificate_required, // where not, a client's way to authenticate may ask for it
});

server.listen(0, '127.0.0.1', () => {
  const { port } = server.address();
  const provider = new Provider(`https://127.0.0.1:${port}`, {
    clients,
    clientDefaults: { id_token_signed_response_alg: 'ES256' },
    scopes: [...new Set(clients.flatMap(({ scope }) => scope?.split(' ') ?? []))],
    ttl: { ClientCredentials: settings.lifetime },
    clientAuthMethods: ['client_secret_basic', 'client_secret_post', 'private_key_jwt', 'tls_client_auth'],
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      mTLS: {
        enabled: true,
        tlsClientAuth: true,
        certificateBoundAccessTokens: true,
        getCertificate: ({ req }) => req.socket.getPeerX509Certificate(),
        certificateAuthorized: ({ req }) => req.socket.authorized,
        // Node writes the attributes from the last to the first, RFC 4514 the other way round.
        certificateSubjectMatches: ({ req }, property, expected) => property === 'tls_client_auth_subject_dn'
          && req.socket.getPeerX509Certificate().subject.split('\n').reverse().join(',') === expected,
      },
    },
    jwks: { keys: [own_key] },
    cookies: { keys: [randomBytes(32).toString('hex')] },
  });
  provider.on('server_error', (_, error) => console.error(error));
  provider.use(async (ctx, next) => {
    if (ctx.path === '/whoami') {
      const token = await provider.ClientCredentials.find(ctx.get('authorization').replace(/^Bearer /, ''));
      if (!token?.isValid) ctx.throw(401);
      ctx.body = { client_id: token.clientId, scope: token.scope };
      return;
    }
    await next();
    // Before the answer is on its way: whoever has it finds the line.
    say(`${ctx.method} ${ctx.path} ${ctx.oidc?.client?.clientId ?? '-'} ${ctx.status}`);
  });
  server.on('request', provider.callback());
  say(`ready ${port}`);
});
process.stdin.on('end', () => process.exit()).resume();
