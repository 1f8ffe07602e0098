<?php

declare(strict_types=1);

namespace Paytoken;

/** A provider that was described; the value is its number, as Source::status tells it. */
final class Described
{
    public function __construct(public readonly int $value)
    {
    }
}
