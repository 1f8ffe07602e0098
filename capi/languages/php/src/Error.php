<?php

declare(strict_types=1);

namespace Paytoken;

/** Why a call failed. The message ends with how to fix it, and never holds a secret. getCode() is PAYTOKEN_REJECTED and its like. */
final class Error extends \RuntimeException
{
    /**
     * @param string   $name         the code's name, such as "PAYTOKEN_REJECTED"
     * @param int      $httpStatus   of the provider's answer; 0 where there was none
     * @param int|null $retryAfterMs how long to wait before asking again; asking earlier is answered without a request
     * @param bool     $isRetryable  whether getting a token may succeed later; never about replaying a payment
     */
    public function __construct(
        string $message,
        int $code,
        public readonly string $name,
        public readonly int $httpStatus = 0,
        public readonly ?int $retryAfterMs = null,
        public readonly bool $isRetryable = false,
    ) {
        parent::__construct($message, $code);
    }
}
