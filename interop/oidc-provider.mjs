// The authorization server that the gateway and linegatectl are held against:
// npm oidc-provider on a free loopback port, with its own development pages.
// It prints where it listens as one line of JSON and ends with its standard
// input. Argument: the seconds an access token lives.
//
// POST /control/rotate signs with a new key from now on and still publishes the
// old ones; POST /control/retire publishes the signing key alone. Each is a new
// Provider on the same store: what an operator does by a restart with other
// keys, in the library's documented configuration.

import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';

import { Provider } from 'oidc-provider';

const lifetime = Number(process.argv[2] ?? 300);
if (!Number.isInteger(lifetime) || lifetime < 1) {
  console.error(`oidc-provider.mjs: token lifetime ${process.argv[2]}: want whole seconds`);
  process.exit(64);
}

const server = createServer((request, response) => {
  const [, action] = request.url.match(/^\/control\/(\w+)$/) ?? [];
  if (action === undefined) {
    provider.callback()(request, response);
  } else if (request.method === 'POST' && action in control) {
    control[action]();
    response.end(JSON.stringify({ signing: keys[0].kid, published: keys.map((key) => key.kid) }));
  } else {
    response.writeHead(404).end();
  }
});
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const issuer = `http://127.0.0.1:${server.address().port}`;

let keys = [newKey()]; // the first one signs
let provider = newProvider();

const control = {
  rotate() {
    keys = [newKey(), ...keys];
    provider = newProvider();
  },
  retire() {
    keys = [keys[0]];
    provider = newProvider();
  },
};

console.log(JSON.stringify({ issuer }));
process.stdin.resume().on('end', () => process.exit());

function newKey() {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), alg: 'ES256', use: 'sig' };
}

function newProvider() {
  return new Provider(issuer, {
    jwks: { keys },
    clients: [
      {
        client_id: 'robot',
        // Characters that Basic carries only when they are form-encoded first.
        client_secret: 'not+so%secret: a&b=c/d',
        grant_types: ['client_credentials'],
        redirect_uris: [],
        response_types: [],
      },
      {
        client_id: 'linegatectl',
        client_name: 'The line gate command',
        application_type: 'native',
        token_endpoint_auth_method: 'none',
        grant_types: ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'],
        redirect_uris: ['http://127.0.0.1/callback'],
      },
    ],
    clientDefaults: { id_token_signed_response_alg: 'ES256' }, // the one kind of key there is
    cookies: { keys: ['only in memory, on loopback, for a minute'] },
    issueRefreshToken: (_ctx, client) => client.grantTypeAllowed('refresh_token'),
    features: {
      clientCredentials: { enabled: true },
      deviceFlow: { enabled: true },
      introspection: { enabled: true },
      revocation: { enabled: true },
      resourceIndicators: {
        enabled: true,
        // A client that names no resource, as linegatectl, means the gateway.
        defaultResource: () => 'https://gateway.example.com',
        useGrantedResource: () => true,
        getResourceServerInfo: () => ({
          audience: 'linegate',
          scope: 'line:connect',
          accessTokenTTL: lifetime,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: 'ES256' } },
        }),
      },
    },
  });
}
