/** What a source is told, named as in paytoken.h, paytoken_config_set_..., which explains each. */
export interface Settings {
  client_id?: string;
  client_secret?: string;
  /** What a described provider asks for besides. */
  values?: Record<string, string>;
  certificate_pem?: Uint8Array;
  private_key_pem?: Uint8Array;
  root_certificates_pem?: Uint8Array;
  certificate_injected_by_proxy?: boolean;
  base_url?: string;
  user_agent?: string;
  proxy?: string;
  timeout_ms?: number;
  connect_timeout_ms?: number;
  retries?: number;
  renew_in_background?: boolean;
  store_directory?: string;
  store_url?: string;
  store_key_file?: string;
  accept_unsealed?: string;
  store_ca_file?: string;
  store_certificate_file?: string;
  store_private_key_file?: string;
}

/** A provider that was described; its number is what `Source.status` tells. */
export interface Described {
  readonly number: number;
}

export type Provider = 'ntx-pay' | 'nexter-pay' | 'send-payments' | Described;

/** Any other provider, by its description: docs/describing-a-provider.md. */
export function describe(description: object | string): Described;

/** Terms of one call. */
export interface Terms {
  /** How many milliseconds the token has to be good. */
  minValidity?: number;
  /** Ask for a new token in any case. */
  force?: boolean;
  /** Ends the wait, not the fetch. */
  signal?: AbortSignal;
}

/** Counters, and times in milliseconds, -1 where there is none: paytoken_status in paytoken.h. */
export interface Status {
  last_error_code: number;
  provider: number;
  environment: number;
  requests: number;
  tokens: number;
  failures: number;
  invalidations: number;
  token_age_ms: number;
  token_remaining_ms: number;
  token_expires_at_ms: number;
  blocked_for_ms: number;
  last_error_age_ms: number;
  certificate_not_after_ms: number;
  store_error_age_ms: number;
}

/** Gives tokens: one per account, for the whole process. */
export class Source {
  constructor(provider: Provider, environment: 'sandbox' | 'production', settings?: Settings);
  /** From the environment, as the paytoken command reads it; settings given here count instead. */
  static fromEnv(provider: Provider, settings?: Settings): Source;
  /** The value of an Authorization header. */
  authorization(terms?: Terms): Promise<string>;
  /** The token alone. */
  token(terms?: Terms): Promise<string>;
  /** The API answered 401 to this token, with or without "Bearer ". */
  invalidate(rejected: string): Promise<void>;
  /** Sends a request; where the answer's status is 401, drops that very token and sends it once more, never twice. */
  call<T extends { status: number }>(send: (authorization: string) => Promise<T> | T, terms?: Terms): Promise<T>;
  status(): Status;
  /** Wipes and frees, once no fetch uses it any more. A later use is an error. */
  close(): void;
}

/** Why a call failed: a sentence that ends with how to fix it, never a secret. */
export class PaytokenError extends Error {
  /** Such as 'PAYTOKEN_REJECTED'. */
  readonly code: string;
  readonly number: number;
  /** The provider's; 0: none. */
  readonly httpStatus: number;
  /** In milliseconds; null: nobody said. */
  readonly retryAfter: number | null;
  /** Whether getting a token may succeed later: never about replaying a payment. */
  readonly isRetryable: boolean;
}

export type Level = 'error' | 'warn' | 'info' | 'debug';

/** Sends the library's log records to console or its like; null ends it. */
export function logTo(logger: Partial<Record<Level, (message: string) => void>> | null, options?: { level?: Level }): void;
