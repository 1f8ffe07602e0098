<?php

declare(strict_types=1);

namespace Paytoken;

use FFI;

enum Provider: int
{
    case NtxPay = 1;
    case NexterPay = 2;
    case SendPayments = 3;

    /**
     * Any other provider, by its description: an array (or JSON text) with the keys of docs/describing-a-provider.md, and
     * name. What this gives stands wherever a Provider does. The same description again gives the same; another one under
     * a known name is an Error, for as long as the process lives.
     *
     * @param array<string, mixed>|string $description
     */
    public static function describe(array|string $description): Described
    {
        try {
            $text = is_string($description) ? $description : json_encode($description, JSON_THROW_ON_ERROR);
        } catch (\JsonException $why) {
            throw Library::invalid("description: {$why->getMessage()}");
        }
        Library::text('description', $text);
        $ffi = Library::ffi();
        $number = $ffi->new('uint32_t');
        Library::check(fn ($error) => $ffi->paytoken_provider_describe($text, FFI::addr($number), $error));
        return new Described($number->cdata);
    }
}
