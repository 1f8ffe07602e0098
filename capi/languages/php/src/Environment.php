<?php

declare(strict_types=1);

namespace Paytoken;

enum Environment: int
{
    case Sandbox = 1;
    case Production = 2;
}
